package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class QemuHypervisorIT {
    private TestNode node;

    @BeforeEach
    void open() throws Exception {
        node = TestNode.create();
    }

    @AfterEach
    void close() throws Exception {
        node.close();
    }

    @Test
    void bootsAGuestWithItsDisks() throws Exception {
        Vm vm = node.hypervisor().boot(node.bootSpec(new VmShape(2, 256)));
        try (Guest guest = Guest.connect(vm)) {
            assertThat(guest.ask("ping")).isEqualTo("pong");
            assertThat(guest.ask("cpus")).isEqualTo("2");
            assertThat(guest.ask("read /dev/vda 0")).isEqualTo(TestNode.BASE_TEXT);
            assertThat(guest.ask("read /dev/vdb 0")).isEqualTo("the-writable-disk");
            assertThat(guest.ask("write /dev/vda 0 x")).isNotEqualTo("ok");
            assertThat(guest.ask("say hello there")).isEqualTo("ok");
            assertThat(vm.console()).contains("hello there");
            assertThat(vm.console()).as("reading takes nothing away").contains("hello there");
        } finally {
            vm.kill();
        }
    }

    @Test
    void startsFromAnImageInTheStateThatWasCaptured() throws Exception {
        VmImage image;
        String sum;
        Vm source = node.hypervisor().boot(node.bootSpec(TestNode.SMALL));
        try {
            Guest.ask(source, "fill 16 7");
            sum = Guest.ask(source, "sum");
            Guest.ask(source, "write /dev/vdb 900000000 from-the-source");
            image = source.capture(node.root().resolve("image"));
        } finally {
            source.kill();
        }
        Vm vm = node.hypervisor().start(image);
        try (Guest guest = Guest.connect(vm)) {
            assertThat(guest.ask("ping")).isEqualTo("pong");
            assertThat(guest.ask("sum")).isEqualTo(sum);
            assertThat(guest.ask("read /dev/vda 62914560")).isEqualTo("far-on-the-base");
            assertThat(guest.ask("read /dev/vdb 900000000")).isEqualTo("from-the-source");
            assertThat(guest.ask("read /dev/vdb 0")).isEqualTo("the-writable-disk");
        } finally {
            vm.kill();
        }
    }
}
