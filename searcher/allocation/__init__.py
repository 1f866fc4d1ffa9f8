"""Allocation: which level every site takes, at the least total error under given ceilings (design section 4)."""
