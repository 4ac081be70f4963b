"""Every setting, typed, frozen and validated; what each means stands beside it.

A `Config` is what makes two runs the same run: data sets, categories and seeds are arguments of a run, not settings.
"""

from raysuite.config.corruption import FILLS, SHAPES, CorruptionConfig
from raysuite.config.detection import ERRORS, DetectionConfig
from raysuite.config.model import ModelConfig
from raysuite.config.root import Config, DataConfig
from raysuite.config.training import OBJECTIVES, AugmentationConfig, ObjectiveConfig, TrainingConfig

__all__ = [
    "ERRORS",
    "FILLS",
    "OBJECTIVES",
    "SHAPES",
    "AugmentationConfig",
    "Config",
    "CorruptionConfig",
    "DataConfig",
    "DetectionConfig",
    "ModelConfig",
    "ObjectiveConfig",
    "TrainingConfig",
]
