"""ffmpeg command lines that make media cheaply: encode some seconds once, then repeat the packets to any length.

Lengths are counted in packets, so that a track lasts what is announced to the frame. Pictures have B-frames and closed
groups of one second; MP4 tracks are fragmented with an index, as YouTube's are.
"""

import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import imageio_ffmpeg

from demo.youtube_twin.formats import Format

PIECE_SECONDS = {"plain": 4, "tiny": 2, "heavy": 4}
HEAVY_BITS_PER_SECOND = 4_500_000
PACKETS_PER_SECOND = {"mp4": 44100 / 1024, "webm": 50}  # of sound
FRAGMENTS = ["-movflags", "+dash+frag_keyframe+delay_moov+global_sidx"]
AS_IT_IS = ["-c", "copy"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", 2, "-sc_threshold", 0]
VP9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", 8, "-row-mt", 1, "-tile-columns", 2, "-lag-in-frames", 0]


@cache
def ffmpeg_path() -> str:
    return imageio_ffmpeg.get_ffmpeg_exe()


def run_ffmpeg(arguments: Sequence[object]) -> None:
    """Raises RuntimeError with ffmpeg's own words."""
    command = [ffmpeg_path(), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or done.stderr:
        raise RuntimeError(f"ffmpeg: {done.stderr.strip() or done.returncode}\n{' '.join(command)}")


def encode_piece(to: Path, format: Format, *, grade: str, scale: float) -> None:
    """Some seconds of moving test picture or of a tone."""
    run_ffmpeg([*(_sound(format, grade) if format.is_audio else _picture(format, grade, scale)), to])


def piece_suffix(format: Format) -> str:
    """The container a piece is kept in: one that has no edit list, which would be repeated with the packets."""
    return "aac" if format.codecs.startswith("mp4a") else format.container


def _picture(format: Format, grade: str, scale: float) -> list[object]:
    size, rate, seconds = f"{format.width}x{format.height}", format.frames_per_second, PIECE_SECONDS[grade]
    source = f"{'color=navy:' if grade == 'tiny' else 'testsrc2='}s={size}:r={rate}:d={seconds}"
    bits = HEAVY_BITS_PER_SECOND if grade == "heavy" else int(format.bits_per_second * scale)
    limits = ["-b:v", bits]
    if bits > format.bits_per_second:  # more than the test picture alone needs
        source += ",noise=alls=10:allf=t"
        limits += ["-maxrate", bits, "-bufsize", bits]
    codec = [*VP9, "-f", "webm"] if format.codecs == "vp9" else [*H264, "-keyint_min", rate, "-f", "mp4"]
    return ["-f", "lavfi", "-i", source, *codec, "-g", rate, *limits, "-pix_fmt", "yuv420p"]


def _sound(format: Format, grade: str) -> list[object]:
    rate, codec = (48000, "libopus") if format.codecs == "opus" else (44100, "aac")
    source = f"anullsrc=r={rate}:cl=stereo" if grade == "tiny" else f"sine=440:r={rate}"
    kind = "webm" if codec == "libopus" else "adts"
    seconds, bits = PIECE_SECONDS[grade], format.bits_per_second
    return ["-f", "lavfi", "-i", source, "-t", seconds, "-ac", 2, "-c:a", codec, "-b:a", bits, "-f", kind]


def repeat_piece(piece: Path, to: Path, format: Format, *, seconds: int) -> None:
    """A whole track of that length."""
    count = ["-frames:v", seconds * format.frames_per_second]
    if format.is_audio:
        count = ["-frames:a", round(seconds * PACKETS_PER_SECOND[format.container])]
    container = ["-f", "webm"]
    if format.container == "mp4":
        sound = ["-bsf:a", "aac_adtstoasc", "-frag_duration", 10_000_000]
        container = [*FRAGMENTS, *(sound if format.is_audio else ["-min_frag_duration", 5_000_000]), "-f", "mp4"]
    run_ffmpeg(["-stream_loop", -1, "-i", piece, *count, *AS_IT_IS, *container, to])


def join_tracks(tracks: Sequence[Path], to: Path) -> None:
    """One progressive MP4, its header first."""
    run_ffmpeg([*_inputs(tracks), *AS_IT_IS, "-movflags", "+faststart", "-f", "mp4", to])


def cut_segments(tracks: Sequence[Path], folder: Path) -> None:
    """A finished HLS playlist, index.m3u8, and its MPEG-TS segments."""
    names = ["-hls_segment_filename", folder / "seg%d.ts"]
    run_ffmpeg([*_inputs(tracks), *AS_IT_IS, "-f", "hls", "-hls_time", 4, "-hls_playlist_type", "vod", *names, folder / "index.m3u8"])


def draw_thumbnail(to: Path, *, hue: int) -> None:
    """A JPEG of a soft gradient; `hue` in degrees."""
    source = f"gradients=s=480x360:c0=0x2255aa:c1=0xbbddff:x0=0:y0=0:x1=480:y1=360:d=1,hue=h={hue}"
    run_ffmpeg(["-f", "lavfi", "-i", source, "-frames:v", 1, "-c:v", "mjpeg", "-q:v", 4, "-f", "mjpeg", to])


def _inputs(tracks: Sequence[Path]) -> list[object]:
    inputs: list[object] = []
    for track in tracks:
        inputs += ["-i", track]
    for number in range(len(tracks)):
        inputs += ["-map", number]
    return inputs
