"""Reports: a plan or a result in, text out."""
