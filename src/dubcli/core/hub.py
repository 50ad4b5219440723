"""Models on the Hugging Face Hub: fetched into its cache, sent to it. The one place that talks to it.

The hub's own variables count: ``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HOME``, ``HF_HUB_OFFLINE``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dubcli.errors import UserError, first_line

_ID = re.compile(r"[\w.-]+/[\w.-]+")


def is_hub_id(name: str) -> bool:
    """Whether a name has the form OWNER/NAME."""
    return _ID.fullmatch(name) is not None


def fetch(name: str, revision: str | None = None) -> Path:
    """The folder in the hub's cache that holds the model OWNER/NAME, downloaded where it is not there.

    ``revision``: a branch, a tag or a commit; None is the newest. Raises UserError: no such model, no connection.
    """
    from huggingface_hub import snapshot_download

    with _told(f"{name} cannot be fetched from the hub"):
        return Path(snapshot_download(name, revision=revision, allow_patterns=["*.json", "*.safetensors", "*.md"]))


def send(folder: Path, name: str, message: str, *, private: bool = False) -> str:
    """Send a folder's files to the model OWNER/NAME, which is made where there is none. Returns the commit's address.

    Raises UserError: no token, no right to write there, no connection.
    """
    from huggingface_hub import HfApi

    if not is_hub_id(name):
        raise UserError(f"--push is {name!r}; give OWNER/NAME, as on the hub")
    api = HfApi(library_name="dubcli")
    with _told(f"{folder} cannot be sent to {name}"):
        api.create_repo(name, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=name, folder_path=folder, commit_message=message).commit_url)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """The hub's many errors as one line, with what to do. Raises UserError."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        raise UserError(f"{what}: its owner gives access on request; ask there, then set HF_TOKEN") from None
    except errors.RepositoryNotFoundError:
        raise UserError(f"{what}: there is none of that name, or it is private; look at it, or set HF_TOKEN") from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{what}: it has no such revision; give a branch, a tag or a commit") from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        raise UserError(
            f"{what}: there is no connection and no copy in the hub's cache; connect, or give a folder"
        ) from None
    except errors.LocalTokenNotFoundError:
        raise UserError(f"{what}: no token; set HF_TOKEN, or run hf auth login") from None
    except errors.HFValidationError as error:
        raise UserError(f"{what}: {first_line(error)}") from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        advice = "set HF_TOKEN to a token that may write there" if status in (401, 403) else "try again later"
        raise UserError(f"{what}: {first_line(error)}; {advice}") from None
    except (OSError, getattr(errors, "HTTPError", OSError)) as error:  # the client's own; before hub 1.0 an OSError
        raise UserError(f"{what}: {first_line(error)}; is there a connection?") from None
