"""What a fit looks like: text, HTML, JSON and plots."""
