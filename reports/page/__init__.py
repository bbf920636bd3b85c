"""Makes the page of a study: one HTML file that contains all tables, figures, curves and pictures, and loads no other file."""

from reports.page.content import DatasetCard, Facts, FigureSection, Gap, Page, TableSection
from reports.page.gallery import Gallery, GalleryDataset, GalleryImage, GalleryModel, Pictures
from reports.page.render import render_page
from reports.page.scores import Scores, scores_of

__all__ = [
    "DatasetCard",
    "Facts",
    "FigureSection",
    "Gallery",
    "GalleryDataset",
    "GalleryImage",
    "GalleryModel",
    "Gap",
    "Page",
    "Pictures",
    "Scores",
    "TableSection",
    "render_page",
    "scores_of",
]
