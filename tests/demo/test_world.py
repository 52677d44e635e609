import subprocess

from demo.world import World, exports


def test_a_shell_that_reads_the_demos_file_is_in_its_world(tmp_path):
    odd = """a 'quoted' "value" $HOME;"""
    world = World(tmp_path, {"PATH": "/usr/bin:/bin", "MASSDL_S3_BUCKET": "videos", "MASSDL_YTDLP_OPTIONS": odd}, twin=None)
    file = tmp_path / "environment"
    file.write_text(exports(world, {"PATH": "/usr/bin:/bin", "DATABASE_URL": "postgres://elsewhere/x"}))
    show = f'. {file}; printf \'%s|%s|%s\' "$MASSDL_S3_BUCKET" "$MASSDL_YTDLP_OPTIONS" "${{DATABASE_URL-unset}}"'
    said = subprocess.run(["sh", "-c", show], capture_output=True, text=True, check=True, env={"DATABASE_URL": "postgres://elsewhere/x"})
    assert said.stdout == f"videos|{odd}|unset"
    assert "PATH" not in file.read_text()
