"""Plotly figures: functions from a view to a figure, for the report and for pages alike."""
