"""Says what raw trees hold and lack before anything is built from them."""
