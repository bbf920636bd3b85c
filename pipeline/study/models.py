"""Define every key of a study with its type, bounds, default and meaning. Checks, messages, the JSON schema and the page of study keys are
derived from these classes.

`Study` only holds data. Other modules of this package compute its cells (the models that it trains or merges), its folders, and the
settings on which a result depends.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from endoarss.errors import shown
from endoarss.settings import LORA_TARGETS, NOT_PRINTED, WEIGHTS_SUFFIXES


def _number(value: Any) -> Any:
    """Return a text such as 1e-3 as a number, because YAML reads it as text."""
    is_number = isinstance(value, str) and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d{1,3}", value)
    return float(value) if is_number else value


def _unique(values: tuple[Any, ...]) -> tuple[Any, ...]:
    repeated = [value for value in dict.fromkeys(values) if values.count(value) > 1]
    if repeated:
        raise ValueError(f"{repeated[0]!r} occurs twice; name each value once")
    return values


_NUMBER = BeforeValidator(
    _number
)  # always after the bounds in Annotated; before them, the JSON schema would have no bounds


def _text(pattern: str, expected: str) -> Any:
    """Return the bounds of a text; `expected` describes the pattern in messages and on the page of keys."""
    return Field(pattern=pattern, max_length=200, json_schema_extra={"expected": expected})


_LETTERS = "lower-case letters, digits and _, beginning with a letter"
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), _NUMBER]
Rate = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False), _NUMBER]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Rank = Annotated[int, Field(ge=1, le=1024)]
Severity = Annotated[int, Field(ge=1, le=5)]
Side = Annotated[int, Field(ge=32, le=2048)]
Width = Annotated[int, Field(ge=8, le=16384)]
Text = Annotated[str, Field(min_length=1, max_length=1000)]
StudyName = Annotated[str, _text(r"^[a-z][a-z0-9_]*$", _LETTERS)]
FolderName = Annotated[str, _text(r"^[a-z][a-z0-9_-]*$", _LETTERS.replace(" and _", ", _ and -"))]
LABEL_EXPECTED = "a name of at most 200 printable characters, without ; and not beginning with = + - or @"
# All conditions are in one pattern, because pydantic applies only the last of several.
Label = Annotated[
    str,
    _text(rf"^[^;=+\-@{NOT_PRINTED}][^;{NOT_PRINTED}]*$", LABEL_EXPECTED),
]
Names = Annotated[tuple[Text, ...], Field(min_length=1)]
Ranks = Annotated[tuple[Rank, ...], Field(min_length=1), AfterValidator(_unique)]
EpochChoice = Literal["last", "val", "test"]
Settings = dict[str, Annotated[Any, _NUMBER]]
ComponentSettings = dict[str, Settings]


class StudyModel(BaseModel):
    """A part of a study, as immutable data. Unknown keys are refused, and so are values of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON data with every default; keys without a value are left out."""
        fields = type(self).model_fields
        values = {field.alias or name: getattr(self, name) for name, field in fields.items()}
        return {key: _plain(value) for key, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, StudyModel):
        return value.as_dict()
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value


Severities = Annotated[tuple[Severity, ...], Field(min_length=1), AfterValidator(_unique)]
Corruptions = Literal["standard"] | Annotated[Names, AfterValidator(_unique)]


class GeneratedTrees(StudyModel):
    """How raw trees are generated, for studies that need no real data."""

    name: FolderName
    """Name of the folder below data/raw; names of dataset folders end with it. Studies that share this name need equal settings of
    raw.generate."""
    seed: Seed = 2018
    """Seed of the generated scenes."""
    height: Annotated[int, Field(ge=64, le=1024)] = 256
    """Height of generated frames in pixels."""
    width: Annotated[int, Field(ge=64, le=1280)] = 320
    """Width of generated frames in pixels."""
    endovis2018_frames: Annotated[int, Field(ge=40, le=100_000)] = 250
    """Number of frames of EndoVis 2018."""
    activity_floor: Count = 5
    """Smallest number of frames of each activity of EndoVis 2018."""
    endovis2017_every: Count = 1
    """Generate every n-th frame of EndoVis 2017."""
    esd_frames: Annotated[int, Field(ge=15, le=100_000)] = 100
    """Number of frames of MTLESD. 15 frames give a single test frame; scores need 60 frames or more, which give 12 or more test frames."""


class RawTrees(StudyModel):
    """Where the raw trees are, one folder per source (environment variables as ${NAME}), or how all trees are generated."""

    generate: GeneratedTrees | None = None
    """Generate all raw trees. Cannot be combined with folders."""
    endovis2018: Text | None = None
    """Folder of EndoVis 2018."""
    endovis2018_scheme: Literal["detect", "native2018", "compatible2017"] = "detect"
    """Palette of the masks of EndoVis 2018."""
    vqla2018: Text | None = None
    """Folder of the VQLA annotations of EndoVis 2018."""
    endovis2017: Text | None = None
    """Folder of EndoVis 2017."""
    vqla2017: Text | None = None
    """Folder of the VQLA annotations of EndoVis 2017."""
    esd: Text | None = None
    """Folder of the released MTLESD."""
    released_mtlendovis: Text | None = Field(default=None, examples=["data/raw/mtlendovis"])
    """Folder of the released MTLEndovis."""


MaskValue = int | Text


class Columns(StudyModel):
    """Column names of the CSV of own frames; other columns are ignored."""

    name: Text = Field(examples=["file"])
    """File name of the image, or its path below the folder of the images."""
    activity: Text | None = Field(default=None, examples=["phase"])
    """Activity of the frame."""
    sequence: Text | None = Field(default=None, examples=["video"])
    """Sequence that the frame is from."""
    split: Text | None = Field(default=None, examples=["part"])
    """Split of the frame: train or test."""


class PlainFrames(StudyModel):
    """Frames of your own: `root`, or `images` and `masks` and optionally `labels`. Without activities no CSV is needed."""

    root: Text | None = Field(default=None, examples=["data/raw/my_frames"])
    """Folder that holds images/, masks/ and optionally labels.csv."""
    images: Text | None = Field(default=None, examples=["frames/images"])
    """Folder of the images. Its subfolders are searched too."""
    masks: Text | None = Field(default=None, examples=["frames/masks"])
    """Folder of the masks of the images."""
    labels: Text | None = Field(default=None, examples=["frames/labels.csv"])
    """CSV that lists the frames."""
    columns: Columns | None = None
    """Names of the CSV's columns. Without this key, the columns are name, activity, sequence and split, and no others are allowed."""
    classes: Annotated[
        tuple[Label, ...],
        Field(min_length=2, max_length=255, examples=[["background", "tissue", "instrument"]]),
        AfterValidator(_unique),
    ]
    """Class names in the order of their mask values, the background first."""
    values: Annotated[dict[str, Text], Field(min_length=1)] | None = Field(
        default=None, examples=[{"#ff0000": "instrument"}]
    )
    """The class of each mask value, or `ignore`. A value is a whole number, or a colour in quotes such as "#ff0000". Without this key,
    mask values are the positions of the classes in `classes`, from 0."""
    ignore: MaskValue | Annotated[tuple[MaskValue, ...], Field(min_length=1)] | None = Field(
        default=None, examples=[255]
    )
    """One or several mask values (or colours). Losses and metrics ignore the pixels with these values."""
    activities: Annotated[
        tuple[Label, ...],
        Field(max_length=1000, examples=[["cutting", "suturing"]]),
        AfterValidator(_unique),
    ] = ()
    """Names of the activities."""


class DatasetSettings(StudyModel):
    """A dataset: a known kind under its own name, a known kind under another name, or frames of your own."""

    kind: Text | None = None
    """Known kind, for a dataset under another name, such as the same frames with another split."""
    title: Text | None = Field(default=None, examples=["MTLEndovis, by sequence"])
    """Name in tables and figures."""
    plain: PlainFrames | None = None
    """Frames of your own. Cannot be combined with `kind`."""
    split: Literal["given", "random_by_activity", "by_sequence"] | None = None
    """Rule that divides the frames into training and test split. Without this key, the first rule of the kind."""
    split_seed: Seed = 0
    """Seed of a random split."""
    test: Names | None = None
    """Names of the test sequences, or frames, for `split: by_sequence`."""
    skip_bad: bool = False
    """Leave out frames that cannot be read and list them in the dataset's card, instead of stopping."""


class Pretraining(StudyModel):
    """Pretrain a vision transformer on generated scenes and save it as data/weights/<name>.safetensors."""

    name: FolderName
    """Name of the file of weights."""
    backbone: Text
    """Name of the study's backbone that is pretrained."""
    scenes: Annotated[int, Field(ge=16, le=1_000_000)]
    """Number of generated scenes."""
    epochs: Count
    """Number of epochs."""
    learning_rate: Rate = 0.001
    """Learning rate of Adam."""
    seed: Seed = 0
    """Seed of scenes and training."""


def _file_of_weights(value: str) -> str:
    if not value.endswith((*WEIGHTS_SUFFIXES, "}")):  # an environment variable may hold the whole path
        raise ValueError(f"{value!r} is not allowed; expected a file that ends with {', '.join(WEIGHTS_SUFFIXES)}")
    return value


NameText = Annotated[str, Field(min_length=1, max_length=200)]


class WeightsFile(StudyModel):
    """A file of pretrained weights. After prefix, drop and rename are applied, it must hold every tensor of the model, and no others."""

    file: Annotated[Text, AfterValidator(_file_of_weights)]
    """Path of a safetensors file, or of a file of torch.save (.pth, .pt, .bin). Only tensors are read; code in the file never runs.
    Environment variables are written as ${NAME}."""
    entry: Text | None = Field(default=None, examples=["teacher"])
    """Key of the dictionary that holds the tensors, if a file of torch.save has several dictionaries."""
    prefix: Text | None = Field(default=None, examples=["backbone."])
    """Beginning of the names of the backbone's tensors, if the file holds other tensors too."""
    drop: Annotated[tuple[NameText, ...], Field(min_length=1, max_length=100), AfterValidator(_unique)] | None = Field(
        default=None, examples=[["decoder_"]]
    )
    """Tensors whose names (without the prefix) begin with one of these texts are left out."""
    rename: (
        Annotated[dict[NameText, Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=100)] | None
    ) = Field(default=None, examples=[{"encoder.layer": "blocks"}])
    """Parts of the tensors' names and their replacements. A part is one or several whole segments of a name; dots separate segments."""


def _weights(value: Any) -> Any:
    if isinstance(value, str) and value not in ("hub", "none"):
        raise ValueError(
            f"{shown(value)} is not allowed; expected hub (timm downloads the weights), none (random weights), or a file: "
            f"weights: {{file: {value if len(value) <= 80 and value.isprintable() else 'PATH'}}}"
        )
    if not isinstance(value, str | dict | WeightsFile):
        raise ValueError(f"{shown(value)} is not allowed; expected hub, none, or {{file: PATH}}")
    return value


_WEIGHTS = Field(json_schema_extra={"expected": "hub, none, or {file: PATH}"})


KIND = "Registered kind. Required if the name itself is not a registered kind."


class Backbone(StudyModel):
    """A timm model, its weights, and the modules that are added to it."""

    kind: Text | None = Field(default=None, examples=["dinov2"], description=KIND)
    label: Label
    """Name in tables and figures."""
    model: Text
    """Name of a timm model."""
    arguments: Settings = Field(default_factory=dict)
    """Further keyword arguments for the timm model."""
    weights: Annotated[Literal["hub", "none"] | WeightsFile, BeforeValidator(_weights), _WEIGHTS]
    """Pretrained weights: hub (timm downloads them), none (random), or {file: PATH}."""
    output_stride: Literal[8, 16, 32] = 16
    """Stride of the feature map of a model that is trained in full (resnet, timm_features). Strides below 32 use dilated convolutions;
    models without dilation, and the authors' code, have 32."""
    network_size: Side | None = None
    """Side in pixels to which images are resized for this backbone, if it differs from input_size."""
    sma: bool | None = Field(default=None, examples=[True])
    """Put SMA in front of the backbone. The kind endoarss always has it."""
    sma_width: Annotated[int, Field(ge=1, le=16384)] = 64
    """Width d of SMA."""
    sma_trained: bool = True
    """Train SMA. With false it keeps its random initial values, as in the authors' code."""
    sma_residual: bool = True
    """Use x + gamma SMA(x). With false, use SMA(x) alone, as in the authors' code."""
    token_map: Literal["spatial", "tokens_as_channels"] = "spatial"
    """How the tokens of a ViT become a feature map. tokens_as_channels is what the authors' code does."""


class Variant(StudyModel):
    """A registered architecture or weighting with settings. All other keys are settings of its kind."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: Settings

    kind: Text | None = Field(default=None, examples=["db_mtl"], description=KIND)
    label: Label | None = Field(default=None, examples=["DB-MTL, beta 0.5"])
    """Name in tables and figures. Without this key, the label of a registered kind of this name, or the name itself."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the kind."""
        return dict(self.__pydantic_extra__)

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON data, the settings of the kind included."""
        return super().as_dict() | self.settings


class Lora(StudyModel):
    """Settings of low-rank adapters (LoRA)."""

    rank: Rank = 4
    """Rank r, for blocks of cells without `ranks`."""
    alpha: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False), _NUMBER] = 0.0
    """Scale alpha. 0 means that alpha is the rank."""
    targets: Annotated[tuple[Literal[LORA_TARGETS], ...], Field(min_length=1), AfterValidator(_unique)] = ("q", "v")  # type: ignore[valid-type]
    """Layers of a ViT's blocks that have adapters. The authors' code uses fc1 and fc2."""
    random_vectors: bool = False
    """Multiply both factors of each adapter by a random vector that is not trained, as the authors' code does."""


class Heads(StudyModel):
    """Widths and atrous rates of the two heads."""

    segmentation_channels: Width = 256
    """Channels of the segmentation head."""
    activity_channels: Width = 256
    """Channels of the activity head."""
    atrous_rates: (
        Annotated[tuple[Annotated[int, Field(ge=1, le=2048)], ...], Field(min_length=3, max_length=3)] | None
    ) = None
    """Three atrous rates of the segmentation head. Without this key they depend on the token map. The paper's are 12, 24, 36."""


class Augmentation(StudyModel):
    """Random changes of training images. By default there are none, as in the paper."""

    flip_horizontal: Share | None = Field(default=None, examples=[0.5])
    """Probability of a horizontal flip."""
    flip_vertical: Share | None = Field(default=None, examples=[0.5])
    """Probability of a vertical flip."""
    rotation: Annotated[float, Field(ge=0, le=180, allow_inf_nan=False), _NUMBER] | None = Field(
        default=None, examples=[10]
    )
    """Largest rotation in degrees, in both directions."""
    scale: Annotated[float, Field(ge=0, le=0.9, allow_inf_nan=False), _NUMBER] | None = Field(
        default=None, examples=[0.1]
    )
    """Largest relative change of size."""
    brightness: Share | None = Field(default=None, examples=[0.2])
    """Largest relative change of brightness."""
    contrast: Share | None = Field(default=None, examples=[0.2])
    """Largest relative change of contrast."""
    corruptions: Corruptions | None = Field(default=None, examples=[["noise", "blur", "smoke"]])
    """Corrupt training images by one of these corruptions, named as under robustness. Tables mark corruptions that were trained on."""
    severities: Severities | None = Field(default=None, examples=[[1, 3]])
    """Severities, of which one is drawn per image. Without this key: 1 to 5."""
    probability: Share | None = Field(default=None, examples=[0.5])
    """Probability that an image is corrupted. Without this key: 0.5."""


class Decay(StudyModel):
    """Multiply the learning rate by `factor` each time `every` epochs have passed."""

    every: Count
    """Number of epochs between two steps."""
    factor: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), _NUMBER]
    """Factor of each step."""


class Schedule(StudyModel):
    """Length and learning rate of a training."""

    epochs: Count
    """Number of epochs."""
    learning_rate: Rate
    """Learning rate of Adam."""
    decay: Decay | None = None
    """Step decay of the learning rate."""


class Training(StudyModel):
    """How cells are trained."""

    batch_size: Annotated[int, Field(ge=2, le=4096)] = 16
    """Images per step."""
    drop_last: bool = False
    """Leave out the last batch of an epoch if it is smaller than the others, as the authors' code does."""
    weight_decay: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), _NUMBER] = 0.0
    """Weight decay of Adam. The authors' code has 1e-4."""
    select_on: EpochChoice = "last"
    """Epoch whose model is saved. last: the last epoch, trained on the whole training split. val: the best epoch on a validation split,
    which is cut from the training split. test: the best epoch on the test split, as in the authors' code; never compare such scores with
    others."""
    score_every: Count | None = None
    """Number of epochs between two scores in history.csv. They are computed on the split of `select_on`; for `last`, on test."""
    checkpoint_every: Count = 1
    """Number of epochs between two saved states, from which an interrupted training continues."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """auto: bf16 autocast on a GPU, float32 on a CPU."""
    compile: Literal["auto", "yes", "no"] = "auto"
    """Use torch.compile for training steps; auto: on a GPU."""
    deterministic: bool = False
    """On a GPU, use slower algorithms that give the same bits in each run. On a CPU every run gives the same bits."""
    cells_per_gpu: Annotated[int, Field(ge=1, le=100)] = 1
    """Number of cells that may use one GPU at the same time."""
    tensorboard: bool = False
    """Write histories as TensorBoard events as well."""
    augmentation: Augmentation = Augmentation()
    """Random changes of training images."""
    schedules: dict[str, Schedule]
    """Schedules by "<dataset>", "<dataset>/<backbone>" or "<dataset>/<backbone>/<architecture>". The longest key that matches counts."""


class CellBlock(StudyModel):
    """A block of cells: every combination of its datasets, backbones, architectures, weightings and ranks, for each seed."""

    datasets: Names
    """Datasets to train on."""
    backbones: Names
    """Backbones of the study."""
    architectures: Names
    """Multi-task architectures."""
    weightings: Names
    """Loss or gradient weightings."""
    ranks: Ranks | None = None
    """Ranks of the adapters. Without this key: lora.rank."""
    select_on: EpochChoice | None = None
    """Replaces training.select_on for these cells. Tables leave out cells whose value differs from training.select_on, except
    tables of merged models. Merging uses cells with val."""


class Surgery(StudyModel):
    """Settings of Representation Surgery, which corrects the features of merged models."""

    rank: Rank = 16
    """Rank of the Surgery that tables compare with other models."""
    ablation: Annotated[tuple[Rank, ...], AfterValidator(_unique)] = (4, 64)
    """Further ranks, which have a table of their own."""
    iterations: Count = 500
    """Number of iterations, each with one step of Adam per batch. 500 iterations with two batches are 1,000 steps, as the authors have."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 16
    """Images per batch."""
    batches: Annotated[int, Field(ge=1, le=1000)] = 2
    """Batches per iteration. AdaMerging makes one step for all batches of an iteration together."""
    learning_rate: Rate = 0.001
    """Learning rate of Adam."""

    @property
    def keys_of_ranks(self) -> dict[int, str]:
        """The key of the study that gives each rank."""
        return {**dict.fromkeys(self.ablation, "merging.surgery.ablation"), self.rank: "merging.surgery.rank"}


class Merging(StudyModel):
    """Merge the single-task cells of each dataset, backbone, rank and seed that have `select_on: val`, with and without Surgery."""

    mergers: Annotated[Names, AfterValidator(_unique)] | None = None
    """Merging methods. Without this key: all known ones."""
    unlabelled: Literal["train", "test"] = "train"
    """Split whose images, without labels, AdaMerging and Surgery see. Both papers use test; tables and figures mark such models."""
    surgery: Surgery = Surgery()
    """Settings of Representation Surgery."""
    memory_mib: Annotated[float, Field(gt=0, le=1e7, allow_inf_nan=False), _NUMBER] = 8192.0
    """Memory for saved representations in MiB. If all images need more, evenly spaced images are used."""
    robustness: bool = True
    """Evaluate single-task, jointly trained and merged models under the study's corruptions."""


class ModelPattern(StudyModel):
    """Names that a cell must have: one or more of backbone, architecture and weighting."""

    backbone: Text | None = None
    """Backbone of the cell."""
    architecture: Text | None = None
    """Architecture of the cell."""
    weighting: Text | None = None
    """Weighting of the cell."""

    def fits(self, cell: object) -> bool:
        """Return whether a cell has all names of the pattern."""
        return all(getattr(cell, key) == value for key, value in self.as_dict().items())


class CellPattern(ModelPattern):
    """Names that a cell must have. A pattern without names matches every cell."""

    dataset: Text | None = None
    """Dataset of the cell."""


_CELL_PATTERNS = Field(
    json_schema_extra={
        "expected": "a list of patterns that is not empty, each with any of the keys backbone, architecture, weighting, dataset; [{}] "
        "selects all cells. If nothing is to be evaluated under corruption, leave out the whole key robustness"
    }
)


class Robustness(StudyModel):
    """Evaluation under corruptions."""

    cells: Annotated[tuple[CellPattern, ...], Field(min_length=1), _CELL_PATTERNS]
    """Patterns. A cell is evaluated if it has all names of one pattern, the rank lora.rank, and the value of training.select_on."""
    corruptions: Corruptions = Field(default="standard", examples=[["standard", "my_haze"]])
    """standard: the nineteen corruptions of the paper. Or a list of names, which may be names of your own corruptions. In the list,
    standard means all nineteen, and noise, blur, occlusion or digital means those of the category."""
    severities: Severities = (1, 2, 3, 4, 5)
    """Severities from 1 to 5."""
    seed: Seed = 0
    """Seed of the corruptions' random draws."""
    profile: Literal["standard", "authors_code"] = "standard"
    """Parameters of the corruptions: this project's, or those of the paper's code."""
    field_of_view: Literal["corrupt", "keep"] = "corrupt"
    """keep: the black border of a round view stays black. corrupt: it is corrupted like the rest of the image, as in the paper."""
    keep_corrupted: bool = False
    """Save the corrupted test images as PNG in data/corrupted, so that images are corrupted once for all cells."""
    baseline: ModelPattern | None = None
    """Baseline of the corruption errors: in each dataset, the first evaluated cell that has these names."""


class Study(StudyModel):
    """A study: data, models, cells, and how results are evaluated and reported."""

    name: Annotated[StudyName, Field(alias="study")]
    """Name of the folder below results/."""
    title: Text
    """Title of the report."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=1000), AfterValidator(_unique)] = (0,)
    """Seeds; each cell is trained once per seed."""
    protocol: Literal["standard", "authors_code"] = "standard"
    """Definition of the metrics. standard: as their names say. authors_code: as the authors' code computes them."""
    compare_with_paper: bool = False
    """Compare results with the paper's tables, and test the paper's claims. Use it for studies of the paper's datasets and models."""
    components: tuple[Text, ...] = Field(default=(), examples=[["my_lab.weightings"]])
    """Python modules of your own that register components, in the working directory or on the Python path."""
    raw: RawTrees = RawTrees()
    """Where the raw trees are, or how they are generated."""
    datasets: Annotated[dict[StudyName, DatasetSettings], Field(min_length=1)]
    """Datasets by name. A dataset whose name is not a known kind needs `kind`, or `plain` for frames of your own."""
    input_size: Side
    """Side of the square input in pixels."""
    normalisation: Literal["imagenet", "none"] = "imagenet"
    """Normalisation of input images."""
    align_corners: bool = False
    """Align the centres of corner pixels when images are resized to network_size and logits to input_size, as in the authors' code."""
    pretraining: Pretraining | None = None
    """Pretraining on generated scenes."""
    backbones: Annotated[dict[StudyName, Backbone], Field(min_length=1)]
    """Backbones by name. A backbone whose name is not a registered kind needs `kind`."""
    lora: Lora = Lora()
    """Low-rank adapters."""
    heads: Heads = Heads()
    """The two heads."""
    architectures: dict[StudyName, Variant] = Field(default_factory=dict)
    """Settings of architectures by name. An architecture whose name is not a registered kind needs `kind`."""
    weightings: dict[StudyName, Variant] = Field(default_factory=dict)
    """Settings of weightings by name. A weighting whose name is not a registered kind needs `kind`."""
    mergers: ComponentSettings = Field(default_factory=dict)
    """Settings of mergers by name."""
    training: Training
    """How cells are trained."""
    cell_blocks: Annotated[tuple[CellBlock, ...], Field(min_length=1, alias="cells")]
    """Blocks of cells."""
    merging: Merging | None = None
    """Merging of single-task models."""
    robustness: Robustness | None = None
    """Evaluation under corruptions."""

    @property
    def synthetic(self) -> bool:
        """Whether the data is generated."""
        return self.raw.generate is not None
