"""The page of `ocigc report`."""
