"""Where ranks meet: torch's variables from Slurm's and MPI's."""

import pytest

from dubcli.core.machine import Ranks
from dubcli.core.rendezvous import first_host, variables
from dubcli.errors import UserError


def ranks(started_by, world_size=4, here=4):
    return Ranks(rank=3, world_size=world_size, local_rank=1, local_world_size=here, started_by=started_by)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node[01-04,07],gpu5", "node01"),
        ("gpu5,node[01-04]", "gpu5"),
        ("node7", "node7"),
        ("rack[2,5]-node[003-010].site", "rack2-node003.site"),
        ("a[10]", "a10"),
    ],
)
def test_the_first_host_of_slurms_lists(nodes, first):
    assert first_host(nodes) == first


def test_ranks_of_a_slurm_step_agree_on_a_place_and_other_steps_meet_elsewhere():
    step = {"SLURM_JOB_ID": "123", "SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "node[2-3]"}
    found = variables(ranks("slurm", 4, 2), step)
    assert found["MASTER_ADDR"] == "node2"
    assert {name: found[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")} == {
        "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}  # fmt: skip
    others = [{**step, "SLURM_STEP_ID": "1"}, {**step, "SLURM_JOB_ID": "124"}]
    ports = {variables(ranks("slurm", 4, 2), environment)["MASTER_PORT"] for environment in (step, *others)}
    assert len(ports) == 3
    assert all(1024 < int(port) < 32768 for port in ports)
    assert variables(ranks("slurm"), step)["MASTER_ADDR"] == "127.0.0.1"  # all on one machine
    without_list = {"SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7"}
    assert variables(ranks("slurm", 4, 2), without_list)["MASTER_ADDR"] == "10.0.0.7"


def test_what_is_set_already_stays():
    found = variables(ranks("mpi", 4, 2), {"MASTER_ADDR": "node9", "MASTER_PORT": "1234"})
    assert (found["MASTER_ADDR"], found["MASTER_PORT"]) == ("node9", "1234")


def test_mpi_on_one_machine_meets_there_and_on_several_asks_for_an_address():
    one, another = variables(ranks("mpi"), {}), variables(ranks("mpi"), {})
    assert one == another
    assert one["MASTER_ADDR"] == "127.0.0.1"
    with pytest.raises(UserError, match="set MASTER_ADDR"):
        variables(ranks("mpi", 4, 2), {})
