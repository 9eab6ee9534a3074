"""What one command costs, from start to exit: CPU time, wall time and memory, as the kernel counts them.

A first run of each is thrown away: it reads the program from the disk. The rest is shown as least, median and most. Beside
the program, in turns with it, run two others on the same machine: an interpreter that does nothing, and the HCL2 parser that
most scripts take, which reads the same file and evaluates nothing of it. Where another machine or another load changes the
milliseconds, what these cost changes with them.
"""

import argparse
import os
import platform
import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = 100

# What the project wants of itself: milliseconds of CPU time, and MB.
GOALS = {"validate, 100 sources": (50, 60), "validate, seed": (20, None), "validate, templates/": (20, None)}


def hundred_sources():
    """A template of a hundred sources on three clouds, as a repository with many images has them."""
    variables = "".join(
        f'variable "v{n}" {{\n  type        = string\n  default     = "value-{n}"\n'
        f'  description = "The {n}th"\n  validation {{\n    condition     = length(var.v{n}) > 2\n'
        '    error_message = "Too short."\n  }\n}\n'
        for n in range(20)
    )
    local_values = "".join(f'  l{n} = upper("${{var.v{n}}}-${{replace(var.v{n}, "-", "_")}}")\n' for n in range(20))
    tags = '{\n    Name = "image-${local.l1}"\n    Team = var.v2\n    Base = "{{ .SourceAMI }}"\n  }'
    blocks = []
    for n in range(SOURCES):
        name = f'"s{n}"'
        if n % 3 == 0:
            blocks.append(
                f'source "amazon-ebs" {name} {{\n  ami_name      = "image-{n}-${{local.l3}}-{{{{timestamp}}}}"\n'
                '  instance_type = "t3.micro"\n  region        = "eu-west-1"\n  ssh_username  = "ubuntu"\n'
                "  source_ami_filter {\n    filters = {\n"
                '      name                = "ubuntu/images/*ubuntu-jammy-22.04-amd64-server-*"\n'
                '      root-device-type    = "ebs"\n      virtualization-type = "hvm"\n    }\n'
                '    owners      = ["099720109477"]\n    most_recent = true\n  }\n'
                '  launch_block_device_mappings {\n    device_name           = "/dev/sda1"\n    volume_size           = 20\n'
                '    volume_type           = "gp3"\n    delete_on_termination = true\n  }\n'
                f"  tags = {tags}\n}}\n"
            )
        elif n % 3 == 1:
            blocks.append(
                f'source "azure-arm" {name} {{\n  subscription_id = "00000000-0000-0000-0000-000000000001"\n'
                '  tenant_id       = "00000000-0000-0000-0000-000000000002"\n'
                '  client_id       = "00000000-0000-0000-0000-000000000003"\n  client_secret   = var.v5\n'
                f'  managed_image_name = "image-{n}"\n  managed_image_resource_group_name = "images"\n'
                '  os_type         = "Linux"\n  image_publisher = "Canonical"\n'
                '  image_offer     = "0001-com-ubuntu-server-jammy"\n  image_sku       = "22_04-lts"\n'
                '  location        = "westeurope"\n  vm_size         = "Standard_B2s"\n'
                "  azure_tags = {\n    team = var.v6\n    name = local.l7\n  }\n}\n"
            )
        else:
            blocks.append(
                f'source "googlecompute" {name} {{\n  project_id          = "example-project"\n'
                '  source_image_family = "ubuntu-2204-lts"\n  zone                = "europe-west1-b"\n'
                f'  image_name          = "image-{n}"\n  image_description   = "${{local.l8}} {n}"\n'
                '  machine_type        = "e2-small"\n  disk_size           = 20\n  ssh_username        = "packer"\n'
                "  image_labels = {\n    team = lower(var.v9)\n  }\n}\n"
            )
    kinds = ["amazon-ebs", "azure-arm", "googlecompute"]
    names = ", ".join(f'"source.{kinds[n % 3]}.s{n}"' for n in range(SOURCES))
    build = (
        f"build {{\n  sources = [{names}]\n"
        '  provisioner "shell" {\n    inline           = ["echo ${local.l4}", "uname -a"]\n'
        '    environment_vars = ["A=${var.v1}", "B=${local.l2}"]\n  }\n'
        '  provisioner "shell" {\n    only   = ["amazon-ebs.s0"]\n    inline = ["true"]\n  }\n'
        '  post-processor "manifest" {\n    output = "manifest.json"\n  }\n'
        '  post-processor "checksum" {\n    checksum_types = ["sha256"]\n    output         = "checksums.txt"\n  }\n}\n'
    )
    return f"{variables}locals {{\n{local_values}}}\n{''.join(blocks)}{build}"


def seed(folder, to):
    """The founding example, with the files that it leaves out."""
    shutil.copytree(folder / "files", to, copy_function=shutil.copyfile)
    shutil.copytree(PROJECT / "tests/data/seed-extra/scripts", to / "scripts", dirs_exist_ok=True)
    shutil.copytree(PROJECT / "ansible/roles", to / "ansible/roles", dirs_exist_ok=True)


def once(argv, cwd):
    """Milliseconds of CPU, milliseconds of wall, MB of memory."""
    before = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.chdir(cwd)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        os.execvpe(argv[0], argv, {"PATH": os.environ["PATH"], "HOME": str(cwd)})
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - before
    if status != 0:
        sys.exit(f"{' '.join(argv)}: status {os.waitstatus_to_exitcode(status)}")
    return (usage.ru_utime + usage.ru_stime) * 1000, wall * 1000, usage.ru_maxrss * 1024 / 1e6


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True, type=Path)
    parser.add_argument("--runs", type=int, default=30)
    args = parser.parse_args()
    program = str(args.program.resolve())
    folder = Path(tempfile.mkdtemp())
    (folder / "x.pkr.hcl").write_text(hundred_sources())
    inputs = ["-var", "environment=dev", "-var", "gcp_project_id=example"]
    parse = "import hcl2; hcl2.load(open('x.pkr.hcl'))"
    commands = {
        "version": ([program, "version"], folder),
        "validate, 100 sources": ([program, "validate", "."], folder),
        "validate, templates/": ([program, "validate", *inputs, "templates"], PROJECT),
    }
    if "IMAGE_ACTION_SEED" in os.environ:
        seed(Path(os.environ["IMAGE_ACTION_SEED"]), folder / "seed")
        commands["validate, seed"] = ([program, "validate", *inputs, "templates"], folder / "seed")
    commands["python3 -c pass"] = (["python3", "-c", "pass"], folder)
    commands["python-hcl2 parses the 100 sources"] = (["python3", "-c", parse], folder)

    measured = {name: [] for name in commands}
    for run in range(args.runs + 1):
        for name, command in commands.items():
            # The slow one need not be repeated as often.
            if run <= 5 or not name.startswith("python-hcl2"):
                figures = once(*command)
                if run > 0:
                    measured[name].append(figures)
    shutil.rmtree(folder)

    model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
    print(f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, load {os.getloadavg()[0]:.1f}")
    print(f"program: {Path(program).stat().st_size / 1e6:.1f} MB\n")
    print("| command | runs | CPU ms | wall ms | memory MB | goal |\n| --- | --- | --- | --- | --- | --- |")
    missed = False
    for name, rows in measured.items():
        cells = [" / ".join(f"{f(column):.1f}" for f in (min, statistics.median, max)) for column in zip(*rows)]
        goal = "-"
        if name in GOALS:
            cpu, memory = GOALS[name]
            met = statistics.median(r[0] for r in rows) < cpu and (memory is None or max(r[2] for r in rows) < memory)
            missed |= not met
            goal = f"{cpu} ms{f', {memory} MB' if memory else ''}: {'met' if met else 'MISSED'}"
        print(f"| {name} | {len(rows)} | {' | '.join(cells)} | {goal} |")
    own = statistics.median(r[0] for r in measured["validate, 100 sources"])
    for name in [n for n in measured if n.startswith("python")]:
        other = statistics.median(r[0] for r in measured[name])
        print(f"\n{name}: {other / own:.1f} times the CPU time of validating the 100 sources")
    floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"\nMemory below {floor:.0f} MB cannot be told: it is what the measuring process has itself.")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
