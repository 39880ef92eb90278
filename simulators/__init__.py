"""Outside systems in miniature, written from vendor documents only; nothing here imports the product's own code."""
