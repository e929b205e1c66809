"""What an incident writes through: every finding and every state of the record, redacted, as it comes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TypeVar

from runbook_lib.archive.evidence import write_finding
from runbook_lib.archive.files import make_directory
from runbook_lib.archive.folder import IncidentFolder, this_process
from runbook_lib.archive.redaction import Redaction
from runbook_lib.models.finding import Finding
from runbook_lib.models.record import IncidentRecord

__all__ = ["Journal"]

Value = TypeVar("Value")


class Journal:
    """The incident's folder as the incident sees it. May be used from several threads at once.

    Nothing reaches the disk but through `redaction`; what is shown on the screen should go through `clean` as well, since
    JupyterLab saves it.
    """

    def __init__(self, folder: IncidentFolder, redaction: Redaction) -> None:
        make_directory(folder.path)
        self._folder = folder
        self._redaction = redaction
        self._lock = threading.Lock()

    @property
    def directory(self) -> Path:
        """The incident's folder."""
        return self._folder.path

    @property
    def audit_path(self) -> Path:
        """The file for the audit of changes."""
        return self._folder.audit

    @property
    def heap_directory(self) -> Path:
        """The folder for heap dumps; made by whoever has one."""
        return self._folder.heap

    @property
    def answers_directory(self) -> Path:
        """The folder for what each source answered, made when it is asked for."""
        make_directory(self._folder.answers)
        return self._folder.answers

    def redact(self, text: str) -> str:
        """The text without secrets and personal data."""
        return self._redaction.text(text)

    def clean(self, value: Value) -> Value:
        """A finding, diagnosis, plan, frame or any nested value without secrets and personal data."""
        return self._redaction.value(value)

    def record(self, record: IncidentRecord) -> None:
        """Write `incident.json`, whole or not at all. While it says `running`, it also says which process runs it.

        Raises ArchiveError when the disk does not let it.
        """
        process = this_process() if record.status == "running" else None
        fields = self._redaction.value(record.model_dump(by_alias=True))
        with self._lock:
            self._folder.write_record(IncidentRecord.model_validate({**fields, "process": process}))

    def finding(self, finding: Finding) -> None:
        """Keep a finding below `evidence/`: its sentences, its tables and the data of its figure.

        Raises ArchiveError when the disk does not let it.
        """
        clean = self._redaction.value(finding)
        with self._lock:
            write_finding(self._folder.evidence, clean)
