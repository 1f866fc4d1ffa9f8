"""Makes candidates: graph analysis, level library, quantisation, export."""
