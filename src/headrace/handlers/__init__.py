"""What an author of handlers imports: `from headrace.handlers import task, Context`.

A handler is a function that runs the tasks of one type, in a child process of the server. This room also holds the
program of that process (`headrace.handlers.child`) and the handlers that are always there. It knows neither the task
table nor the server.
"""

from headrace.handlers.context import Context as Context
from headrace.handlers.declare import task as task
from headrace.handlers.outcome import Cancelled as Cancelled
from headrace.handlers.outcome import Failed as Failed
from headrace.handlers.outcome import RetryLater as RetryLater
from headrace.model.task import Retry as Retry

__all__ = ["Cancelled", "Context", "Failed", "Retry", "RetryLater", "task"]
