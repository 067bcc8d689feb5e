"""A report of runs: plain data (`content`) as one HTML file (`render`)."""

from mtpsl.visualization.report.content import Report, RunContent
from mtpsl.visualization.report.page import render

__all__ = ["Report", "RunContent", "render"]
