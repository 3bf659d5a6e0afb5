package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class LiveForkVersionsTest {
    private static final QemuVersion KNOWN = new QemuVersion(7, 2, "7.2.22 (Debian)");
    private static final QemuVersion UNKNOWN = new QemuVersion(10, 1, "10.1.0");

    @Test
    void allowsWhatIsTested() {
        assertThat(LiveForkVersions.objection(LiveForkChoice.ON, KNOWN, "2.36")).isEmpty();
    }

    @Test
    void objectsToOthersAndSaysWhatToDo() {
        assertThat(LiveForkVersions.objection(LiveForkChoice.ON, UNKNOWN, "2.36")).get().asString()
                .contains("here are 10.1 and 2.36").contains("CUBE_LIVE_FORK=force");
        assertThat(LiveForkVersions.objection(LiveForkChoice.ON, KNOWN, "2.41")).isPresent();
    }

    @Test
    void isForced() {
        assertThat(LiveForkVersions.objection(LiveForkChoice.FORCE, UNKNOWN, "2.41")).isEmpty();
    }

    @Test
    void knowsThisMachinesLibrary() {
        assertThat(Linux.libcVersion()).matches("2\\.\\d+");
    }

    @Test
    void takesThreeChoices() {
        assertThat(LiveForkChoice.parse(null)).isEqualTo(LiveForkChoice.ON);
        assertThat(LiveForkChoice.parse("force")).isEqualTo(LiveForkChoice.FORCE);
        assertThatThrownBy(() -> LiveForkChoice.parse("maybe")).isInstanceOf(HypervisorException.class)
                .hasMessageContaining("on, off or force");
    }
}
