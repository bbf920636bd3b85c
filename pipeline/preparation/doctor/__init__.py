"""Checks raw trees and the datasets that would be built from them; `endoarss doctor` prints the report."""
