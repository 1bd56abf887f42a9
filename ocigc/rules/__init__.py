"""The rules of pruning: pure functions over values. They read nothing, write nothing and ask no clock."""
