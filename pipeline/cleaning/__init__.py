"""Find and delete what nobody needs any more: old results, unfinished files, data that no study uses."""
