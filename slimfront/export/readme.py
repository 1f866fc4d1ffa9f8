"""`README.md` of an exported folder: figures, input contract, how to run it."""

from __future__ import annotations

from collections.abc import Sequence

import slimfront
from dashboards.candidate import CandidateView
from dashboards.row import Row
from dashboards.study import StudyData
from objectives.workload.workload import Workload
from slimfront.export.files import SAFETENSORS_FILE, ModelFiles
from storage.records.config import PACKED_RUNTIME

MOST_CLASSES = 20  # named in the text; the rest are in plan.json


def readme(data: StudyData, view: CandidateView, made: ModelFiles) -> bytes:
    """The text as UTF-8, the same for the same study and versions."""
    title = f"# {view.study}/{view.candidate}" + (f": {view.name}" if view.name else "")
    parts = [title, _summary(view), _figures(data, view), _certificate(view)]
    parts += [_verified(made), _input(data, made.workload)]
    parts += [_run(data, made), _contents(made), f"Written by Slimfront {slimfront.__version__}."]
    return ("\n\n".join(part for part in parts if part) + "\n").encode()


def _summary(view: CandidateView) -> str:
    if not view.layers:
        return (
            "A baseline: the dense model quantised by ONNX Runtime's own `quantize_static`. There is no `model.slim` "
            "and no `model.safetensors` of it, as another tool has made it."
        )
    bits = f"{view.mean_bits:.2f}" if view.mean_bits is not None else "?"
    text = f"{len(view.layers)} layers at {bits} bits a weight on average{_channels(view)}; `plan.json` lists them."
    if view.parent is not None:
        text += f" The weights were trained from candidate {view.parent}."
    if view.protected:
        text += f" Left as they were: {', '.join(item.name for item in view.protected)}."
    return text


def _channels(view: CandidateView) -> str:
    left = sum(group.channels for group in view.groups)
    dense = sum(group.dense_channels for group in view.groups)
    if left == dense:
        return ""
    return f", {left} of the {dense} channels that can be removed left"


def _figures(data: StudyData, view: CandidateView) -> str:
    row, dense = view.row, data.dense
    if row is None or dense is None:
        return ""
    meaning = f"of {row.images} images that no score of the search has used"
    meaning += ", and by which it was chosen what to train" if row.tuned else ""
    meaning += f"; dense: {dense.accuracy:.2f} %"
    lines = [_line("accuracy", f"{row.accuracy:.2f} %", meaning), *_drop(row)]
    meaning = f"{row.size_ratio:.2f} times smaller than the dense ONNX file of {dense.size_bytes} bytes"
    lines.append(_line("size", f"{row.size_bytes} bytes", meaning))
    if row.onnx_bytes is not None:
        lines.append(_line("ONNX size", f"{row.onnx_bytes} bytes", "`model.onnx`, low bits on int8 grids"))
    if row.latency_ms is not None and row.speedup is not None:
        interval = ""
        if view.speedup_interval is not None:
            interval = " (5th to 95th percentile {:.2f} to {:.2f})".format(*view.speedup_interval)
        meaning = f"{row.speedup:.2f} times as fast as dense{interval}; {_conditions(data)}"
        lines.append(_line("latency", f"{row.latency_ms:.4g} ms", meaning))
    meaning = f"multiply-accumulates of one sample; dense over this: {row.macs_ratio:.2f}"
    lines.append(_line("MACs", str(row.macs), meaning))
    wish = ", ".join(f"{key} = {value}" for key, value in data.target.to_dict().items())
    verdict = f"The study's target ({wish}) is {'met' if row.meets_target else 'not met'}."
    return "\n".join(["## Figures", "", _line("figure", "value", "meaning"), "|---|---|---|", *lines, "", verdict])


def _drop(row: Row) -> Sequence[str]:
    if row.drop is None or row.drop_upper is None:
        return []
    bound = "the drop is below this with 95 % confidence (one-sided, paired)"
    return [
        _line("drop", f"{row.drop:.2f} points", "dense minus this model, on the same images"),
        _line("upper bound", f"{row.drop_upper:.2f} points", bound),
    ]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _conditions(data: StudyData) -> str:
    return f"batch {data.config.runtime.batch}, {data.hardware}"


def _certificate(view: CandidateView) -> str:
    found = view.certificate
    if found is None:
        return ""
    role = "the one" if found.primary else "one of those"
    meaning = (
        f"It was declared as {role} to be judged before its file and the dense model ran on the {found.n} images of "
        f"the test split, where the two score {100 * found.disagreement:.2f} % of the images differently."
    )
    if view.looks == 1:
        meaning += " It was the first look at that split that the study's database knows of."
    else:
        meaning += f" The test split had been looked at {view.looks} times by then: if anything was chosen by an "
        meaning += "earlier look, the sentence says less than it seems to."
    return "\n".join(["## Certificate", "", f"{found.sentence.capitalize()}.", "", meaning])


def _verified(made: ModelFiles) -> str:
    return f"Verified on the quick images: {made.verification}."


def _input(data: StudyData, workload: Workload) -> str:
    shape = ", ".join(map(str, workload.input_shape))
    settings = data.config.data
    lines = ["## Input", "", f"float32 `[n, {shape}]`" + (" (NCHW)." if len(workload.input_shape) == 3 else ".")]
    if settings.kind == "python":
        lines.append("Normalised as the study's data factory does it.")
    elif settings.kind == "arrays":
        lines.append("Normalised as the images were that the study was given.")
    else:
        scale = "16" if settings.kind == "digits" else "255"
        mean, std = list(settings.mean), list(settings.std)
        lines.append(f"Each channel is (pixel / {scale} - mean) / std with mean {mean} and std {std}.")
    if workload.classes:
        names = ", ".join(workload.classes[:MOST_CLASSES])
        more = ", ... (all in `plan.json`)" if len(workload.classes) > MOST_CLASSES else ""
        lines.append(f"Outputs are logits; the classes in their order: {names}{more}.")
    return "\n".join(lines)


def _run(data: StudyData, made: ModelFiles) -> str:
    shape = ", ".join(map(str, made.workload.input_shape))
    images = f"images = np.zeros((1, {shape}), np.float32)  # yours, normalised as above"
    text = ["## Run it", ""]
    if (name := data.config.runtime.name) != PACKED_RUNTIME and not data.is_mistimed:
        text += [
            f"Accuracy and latency above are those of `model.onnx` on {name}. The sessions below are ONNX Runtime's, "
            "whose speed and rounding differ.",
            "",
        ]
    if "model.slim" in made.files:
        text += [
            "With Slimfront (numpy and onnxruntime are enough; `pip install --no-deps .` in a checkout of Slimfront):",
            "",
            "```python",
            "import numpy as np",
            "import slimfront",
            "",
            'model = slimfront.load("model.slim")',
            images,
            "logits = model(images)",
            "```",
            "",
        ]
    text += [
        "With ONNX Runtime alone:",
        "",
        "```python",
        "import numpy as np",
        "import onnxruntime",
        "",
        'session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])',
        images,
        "logits = session.run(None, {session.get_inputs()[0].name: images})[0]",
        "```",
    ]
    if "model.slim" in made.files:
        text += [
            "",
            "As a torch module in float32 (the same weights, activations not quantised):",
            "",
            "```python",
            "import slimfront",
            "import torch",
            "",
            'module = slimfront.load_torch("model.slim")',
            f"logits = module(torch.zeros(1, {shape}))",
            "```",
        ]
    return "\n".join(text)


def _contents(made: ModelFiles) -> str:
    meaning = {
        "model.slim": "the packed model: true bit-widths, compressed graph, checksums",
        "model.onnx": "the same model for any ONNX runtime, with a free batch axis",
        SAFETENSORS_FILE: "the float32 state dict of `load_torch`'s module; batch norms are folded into the layers",
    }
    lines = ["## Files", "", *(f"- `{name}`: {meaning[name]}" for name in made.files)]
    lines.append("- `plan.json`: each layer's level, method, error, bytes and channels, and all figures")
    return "\n".join(lines)
