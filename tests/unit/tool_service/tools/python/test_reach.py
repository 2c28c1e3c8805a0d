"""What the boundary leaves readable."""

from tool_service.tools.python import reach


def test_a_checkout_is_not_readable_and_a_virtual_environment_inside_it_is(monkeypatch, tmp_path):
    project = tmp_path / "project"
    for folder in ("tool_service", ".venv/bin", ".venv/lib/python3/site-packages/numpy"):
        (project / folder).mkdir(parents=True)
    monkeypatch.setattr(reach.sys, "prefix", str(project / ".venv"))
    monkeypatch.setattr(reach.sys, "path", ["", str(project), str(project / ".venv/lib/python3/site-packages")])
    found = dict(reach.readable(project))
    assert found[project / ".venv/lib"] is False
    assert not any((project / "tool_service").is_relative_to(path) for path in found)
    assert project not in found


def test_where_the_service_is_installed_beside_packages_only_they_are_readable(monkeypatch, tmp_path):
    packages = tmp_path / "lib/site-packages"
    for name in ("tool_service", "protos", "numpy"):
        (packages / name).mkdir(parents=True)
    (packages / "six.py").touch()
    (packages / "link").symlink_to("/etc")
    monkeypatch.setattr(reach.sys, "prefix", str(tmp_path))
    found = {path: names for path, names in reach.readable(packages) if path.is_relative_to(tmp_path)}
    assert found == {
        tmp_path / "lib": True,
        packages: True,
        packages / "numpy": False,
        packages / "six.py": False,
    }
