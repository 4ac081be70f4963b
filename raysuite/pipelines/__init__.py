"""The Ray programs, one a job."""
