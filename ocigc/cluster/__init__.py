"""Work spread over the workers of a dask cluster. They read; one process decides, and changes what is to change."""
