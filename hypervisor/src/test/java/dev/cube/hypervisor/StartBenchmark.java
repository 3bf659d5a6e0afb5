package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Measures starts, captures and memory; the figures of docs/hypervisor.md. Arguments: number of starts one by one, VMs at
 * once, vCPUs, MiB.
 */
final class StartBenchmark {
    private StartBenchmark() {}

    public static void main(String[] arguments) throws Exception {
        int rounds = Integer.parseInt(arguments[0]);
        int together = Integer.parseInt(arguments[1]);
        VmShape shape = new VmShape(Integer.parseInt(arguments[2]), Integer.parseInt(arguments[3]));
        try (TestNode node = TestNode.create()) {
            VmImage image = node.template(shape);
            QemuHypervisor hypervisor = node.hypervisor();
            oneByOne(hypervisor, image, rounds);
            atOnce(hypervisor, image, together);
            captures(node, image);
        }
    }

    private static void oneByOne(QemuHypervisor hypervisor, VmImage image, int rounds) throws Exception {
        double[] starts = new double[rounds];
        double[] answers = new double[rounds];
        double[] kills = new double[rounds];
        for (int i = 0; i < rounds; i++) {
            awaitBlanks(hypervisor, image.shape());
            long begin = System.nanoTime();
            Vm vm = hypervisor.start(image);
            starts[i] = millisSince(begin);
            Guest.ask(vm, "ping");
            answers[i] = millisSince(begin);
            begin = System.nanoTime();
            vm.kill();
            kills[i] = millisSince(begin);
        }
        print("start", starts);
        print("start to first answer", answers);
        print("kill", kills);
    }

    private static void atOnce(QemuHypervisor hypervisor, VmImage image, int count) throws Exception {
        awaitBlanks(hypervisor, image.shape());
        long before = availableMemory();
        List<Vm> vms = new ArrayList<>();
        long begin = System.nanoTime();
        try (var executor = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<Vm>> starting = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                starting.add(executor.submit(() -> hypervisor.start(image)));
            }
            for (Future<Vm> vm : starting) {
                vms.add(vm.get());
            }
        }
        System.out.printf(Locale.ROOT, "%d at once: %.1f ms each (wall / n)%n", count, millisSince(begin) / count);
        for (Vm vm : vms) {
            Guest.ask(vm, "ping");
        }
        awaitBlanks(hypervisor, image.shape());
        Thread.sleep(3000);
        System.out.printf(Locale.ROOT, "memory of each idle VM: %.1f MiB%n",
                (before - availableMemory()) / 1024.0 / count);
        vms.forEach(Vm::kill);
    }

    private static void captures(TestNode node, VmImage image) throws IOException {
        Vm vm = node.hypervisor().start(image);
        try {
            for (int megabytes : new int[] {0, 64}) {
                if (megabytes > 0) {
                    Guest.ask(vm, "fill " + megabytes + " 1");
                }
                Path directory = node.root().resolve("capture-" + megabytes);
                long begin = System.nanoTime();
                vm.capture(directory);
                System.out.printf(Locale.ROOT, "capture after %d MiB written: %.1f ms, %d kB%n", megabytes,
                        millisSince(begin), ownBytes(directory) / 1024);
                vm.resume();
            }
        } finally {
            vm.kill();
        }
    }

    private static long ownBytes(Path directory) throws IOException {
        try (var files = Files.list(directory)) {
            return files.filter(file -> file.getFileName().toString().matches("memory-[0-9a-f]+-\\d+"))
                    .mapToLong(file -> file.toFile().length()).sum();
        }
    }

    private static void awaitBlanks(QemuHypervisor hypervisor, VmShape shape) throws InterruptedException {
        hypervisor.expect(shape);
        while (hypervisor.blanksReady(shape) < 2) {
            Thread.sleep(5);
        }
        Thread.sleep(Duration.ofMillis(50));
    }

    private static long availableMemory() throws IOException {
        return Files.readAllLines(Path.of("/proc/meminfo")).stream().filter(line -> line.startsWith("MemAvailable:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", ""))).findFirst().orElseThrow();
    }

    private static double millisSince(long begin) {
        return (System.nanoTime() - begin) / 1e6;
    }

    private static void print(String what, double[] millis) {
        Arrays.sort(millis);
        System.out.printf(Locale.ROOT, "%-22s p50 %.1f  p90 %.1f  p99 %.1f  max %.1f ms (%d)%n", what,
                millis[millis.length / 2], millis[millis.length * 9 / 10], millis[millis.length * 99 / 100],
                millis[millis.length - 1], millis.length);
    }
}
