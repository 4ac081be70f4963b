"""Clean batches to corrupted batches and masks, on the batch's device."""
