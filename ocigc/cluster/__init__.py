"""Work spread over the workers of a dask cluster. Workers only read; one process decides and changes things."""
