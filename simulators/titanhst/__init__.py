"""TitanHST in miniature: the contact API as assumed, to be confirmed with the vendor."""
