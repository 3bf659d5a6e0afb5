package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;

class HostFactsTest {
    @Test
    void qemuVersionsAreParsed() {
        QemuVersion version = QemuVersion.parse(
                "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright (c) 2003-2022\n");
        assertThat(version.minorRelease()).isEqualTo("7.2");
        assertThat(version.text()).isEqualTo("7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)");
        assertThatThrownBy(() -> QemuVersion.parse("bash: no such thing")).isInstanceOf(HypervisorException.class);
        assertThatThrownBy(() -> QemuVersion.of("/nonexistent/qemu")).hasMessageContaining("install the package");
    }

    @Test
    void virtualisationShowsInTheFlags() {
        assertThat(CpuInfo.parse(List.of("model name\t: AMD", "flags\t\t: fpu svm tsc")).hasVirtualisation()).isTrue();
        assertThat(CpuInfo.parse(List.of("flags\t\t: fpu vmx")).hasVirtualisation()).isTrue();
        assertThat(CpuInfo.parse(List.of("flags\t\t: fpu svme", "vmx flags\t: x")).hasVirtualisation()).isFalse();
    }

    @Test
    void theAcceleratorIsChosenByName() {
        assertThat(AcceleratorChoice.parse(null)).isEqualTo(AcceleratorChoice.AUTO);
        assertThat(AcceleratorChoice.parse(" ")).isEqualTo(AcceleratorChoice.AUTO);
        assertThat(AcceleratorChoice.parse("kvm")).isEqualTo(AcceleratorChoice.KVM);
        assertThat(AcceleratorChoice.parse("TCG ")).isEqualTo(AcceleratorChoice.TCG);
        assertThatThrownBy(() -> AcceleratorChoice.parse("xen")).hasMessageContaining("auto, kvm or tcg");
    }
}
