"""Every error that raysuite raises on purpose.

The message says what is wrong, where, and what to do; the command line prints that one sentence
and ends with ``exit_code``.
"""


class RaysuiteError(Exception):
    """Base of all errors raised on purpose. ``exit_code`` is what the command line ends with."""

    exit_code = 1


class ConfigError(RaysuiteError):
    """A setting is unknown, of the wrong type, out of range, or at odds with another one."""

    exit_code = 2


class StorageError(RaysuiteError):
    """A path or URI cannot be read, listed or written."""


class TextError(StorageError, ValueError):
    """A file is no UTF-8 text; a ``ValueError`` too, as is what else is wrong with the content of a damaged file."""


class DatasetError(RaysuiteError):
    """A data set as a whole cannot be used: not found, no known layout, a category without good images."""


class DecodeError(DatasetError):
    """One image or mask cannot be decoded. Pipelines turn it into a row with an ``error``."""


class MetricsError(RaysuiteError):
    """Scores or masks of a wrong shape, dtype or range were given to a metric."""


class DetectorError(RaysuiteError):
    """A saved detector is missing, damaged, or of an unknown format version."""


class TrainingError(RaysuiteError):
    """A training cannot start or go on: too few images, or a loss that is no longer a number."""


class RunError(RaysuiteError):
    """A run folder is missing, belongs to another configuration, or lacks a step that is needed."""


class ClusterError(RaysuiteError):
    """The Ray cluster cannot be reached, or can never place what was asked for."""


class JobError(RaysuiteError):
    """A job is not known to the cluster, was refused by it, or was lost."""
