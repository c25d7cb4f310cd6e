"""Ratios of one run: what hivecost costs against the plain thing."""
