"""Python client of Muster, a service that trains dense retrievers.

    import muster

    client = muster.connect()
    client.import_dataset("mydata", [{"query": "…", "pos": ["…", "…"]}, …])
    job = client.submit("job.yaml").show()  # ends with the metrics before and after training
    job.export("model")

The messages of the API are in muster.v1: muster.v1.job_pb2.JobSpec and others.
"""
from ._values import BeforeAfter, DatasetInfo, Evaluation, LogLine, Progress
from ._version import __version__
from .client import Client, connect
from .errors import (CanceledError, DeadlineError, InvalidArgumentError, JobCancelledError, JobEndedError, JobFailedError, MusterError,
                     NotFoundError, RefusedError, ServerError, UnreachableError)
from .job import Job

__all__ = ["BeforeAfter", "CanceledError", "Client", "DatasetInfo", "DeadlineError", "Evaluation", "InvalidArgumentError", "Job",
           "JobCancelledError", "JobEndedError", "JobFailedError", "LogLine", "MusterError", "NotFoundError", "Progress",
           "RefusedError", "ServerError", "UnreachableError", "__version__", "connect"]
