"""From saved results to what people read: tables, figures, the page and the paper of a study."""
