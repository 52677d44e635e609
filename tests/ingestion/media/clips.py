"""Small media files, made by ffmpeg."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from ingestion.streams import ffmpeg_path
from ingestion.streams.boxes import box_kinds

YOUTUBES = ("-movflags", "+dash+delay_moov+global_sidx+skip_trailer", "-f", "mp4")  # fragments, with a table of them in front
FRAGMENTED = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-f", "mp4")
PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30", "-t", "12")
SOUND = ("-f", "lavfi", "-i", "sine=440", "-t", "12")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "60")


@dataclass(frozen=True)
class Clips:
    """Where they are; `duration` in seconds is that of all of them."""

    folder: Path
    duration: float = 12.0

    def content(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def path(self, name: str) -> str:
        return str(self.folder / name)


def make_clips(folder: Path) -> Clips:
    clips = Clips(folder)
    run(*PICTURE, *H264, "-movflags", "+frag_keyframe", *YOUTUBES, clips.path("picture.mp4"))
    run(*SOUND, "-c:a", "aac", "-frag_duration", "1000000", *YOUTUBES, clips.path("sound.m4a"))
    run(*SOUND, "-c:a", "libopus", clips.path("sound.webm"))
    small = ("-vf", "scale=160:90", "-deadline", "realtime", "-cpu-used", "8")
    run(*PICTURE, "-c:v", "libvpx-vp9", *small, clips.path("vp9.webm"))
    run(*PICTURE, "-c:v", "libvpx", *small, clips.path("vp8.webm"))
    both = ("-i", clips.path("picture.mp4"), "-i", clips.path("sound.m4a"), "-c", "copy")
    run(*both, "-movflags", "+faststart", clips.path("both.mp4"))
    run(*both, clips.path("index-last.mp4"))
    run("-i", clips.path("both.mp4"), "-c", "copy", clips.path("both.ts"))
    run("-i", clips.path("picture.mp4"), "-c", "copy", clips.path("picture-index-last.mp4"))
    return clips


def run(*arguments: str, stdin: bytes | None = None) -> str:
    """What ffmpeg says on stdout; it has to be silent on stderr."""
    done = subprocess.run([ffmpeg_path(), "-v", "error", "-y", *arguments], input=stdin, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def packets(path: str) -> list[str]:
    """Stream, times, size and checksum of every packet."""
    said = run("-i", path, "-map", "0", "-c", "copy", "-f", "framemd5", "-")
    return [line for line in said.splitlines() if not line.startswith("#")]


def outermost_boxes(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return list(box_kinds(file))
