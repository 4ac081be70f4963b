"""The Arrow schema of one sample: what a reader yields, and what a shard holds."""

import pyarrow as pa

SAMPLE_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # POSIX path of the image, relative to the data set's root
        pa.field("category", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),  # "train" or "test"
        pa.field("label", pa.int8()),  # 0 good, 1 defect, null unknown
        pa.field("defect", pa.string()),  # "good" or the kind of defect
        pa.field("image", pa.binary()),  # the encoded bytes as found; null where they cannot be read
        pa.field("mask", pa.binary()),  # the same of the mask; null where there is none
        pa.field("height", pa.int32()),  # pixels, after the turn that EXIF asks for
        pa.field("width", pa.int32()),
        pa.field("mode", pa.string()),  # Pillow's pixel type, as found
        pa.field("sha256", pa.string()),  # of the image's bytes, in hex
        pa.field("error", pa.string()),  # "Kind: sentence with the file's path", or null
    ]
)
"""One row a sample. A bad file is a row with an ``error``, never a missing row."""
