"""Packaging. Every value comes from settings.ini, which nbdev reads too."""

from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
parser = ConfigParser(delimiters=["="], interpolation=None)
parser.read(HERE / "settings.ini", encoding="utf-8")
settings = parser["DEFAULT"]

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=settings["author"],
    author_email=settings["author_email"],
    url=settings["git_url"],
    keywords=settings["keywords"].split(),
    license="Apache-2.0",
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Typing :: Typed",
    ],
    python_requires=f">={settings['min_python']}",
    packages=find_packages(include=[settings["lib_name"], f"{settings['lib_name']}.*"]),
    package_data={settings["lib_name"]: ["py.typed", "policies/**/*", "reference/**/*"]},
    install_requires=settings["requirements"].split(),
    extras_require={
        key.removesuffix("_requirements"): value.split()
        for key, value in settings.items()
        if key.endswith("_requirements")
    },
    entry_points={"console_scripts": settings["console_scripts"].split()},
    zip_safe=False,
)
