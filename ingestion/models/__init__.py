from ingestion.models.fleet import Budget, Chore, DayTotal, DownloadWindow, Limits, Worker
from ingestion.models.operations import Operation, OperationPiece
from ingestion.models.sessions import Attempt, DownloadSession, LiveProgress, Scan, Turn

__all__ = [
    "Attempt",
    "Budget",
    "Chore",
    "DayTotal",
    "DownloadSession",
    "DownloadWindow",
    "Limits",
    "LiveProgress",
    "Operation",
    "OperationPiece",
    "Scan",
    "Turn",
    "Worker",
]
