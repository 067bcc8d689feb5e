"""The report of trained runs: what it shows is gathered from their folders, their data and their networks."""

from mtpsl.training.report.write import Depth, report_after_training, write_report

__all__ = ["Depth", "report_after_training", "write_report"]
