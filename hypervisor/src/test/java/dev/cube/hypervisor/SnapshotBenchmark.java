package dev.cube.hypervisor;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;

/**
 * Measures snapshots of a VM of 2 vCPUs and 2 GiB by what it has written. Arguments: rounds, {@code on} or {@code off} for live
 * fork, MiB written before each snapshot ….
 */
final class SnapshotBenchmark {
    private static final VmShape SHAPE = new VmShape(2, 2048);

    private SnapshotBenchmark() {}

    private static final class Row {
        private final List<Double> usable = new ArrayList<>();
        private final List<Double> durable = new ArrayList<>();
        private final List<Double> started = new ArrayList<>();
        private final List<Double> frozen = new ArrayList<>();
        private final List<Double> suspended = new ArrayList<>();
    }

    public static void main(String[] arguments) throws Exception {
        int rounds = Integer.parseInt(arguments[0]);
        System.out.println("| MiB written | snapshot usable | durable | MiB in it | start from it | freeze | suspend |\n"
                + "|---|---|---|---|---|---|---|");
        try (TestNode node = TestNode.create()) {
            node.use(LiveForkChoice.parse(arguments[1]));
            VmImage image = node.template(SHAPE);
            node.hypervisor().keepWarm(image, vm -> { }, vm -> { });
            while (!node.hypervisor().isWarm(image) && arguments[1].equals("on")) {
                Thread.sleep(20);
            }
            for (String mebibytes : Arrays.asList(arguments).subList(2, arguments.length)) {
                measure(node, image, Integer.parseInt(mebibytes), rounds);
            }
        }
    }

    private static void measure(TestNode node, VmImage image, int mebibytes, int rounds) throws Exception {
        Row row = new Row();
        double written = 0;
        for (int round = -1; round < rounds; round++) {
            Vm vm = node.hypervisor().start(image);
            Guest.ask(vm, "fill " + mebibytes + " 1");
            Thread.sleep(Duration.ofMillis(100));
            long begin = System.nanoTime();
            VmSnapshot snapshot = vm.snapshot(node.root().resolve("snapshot"));
            double usable = since(begin);
            snapshot.durable().toCompletableFuture().get(60, TimeUnit.SECONDS);
            double durable = since(begin);
            begin = System.nanoTime();
            Vm copy = node.hypervisor().start(snapshot.image());
            double started = since(begin);
            copy.kill();
            begin = System.nanoTime();
            FrozenVm frozen = vm.freeze(1);
            double freeze = since(begin);
            frozen.close();
            node.hypervisor().discard(snapshot.image().directory());
            begin = System.nanoTime();
            vm.suspend(node.root().resolve("suspended"), true);
            double suspend = since(begin);
            node.hypervisor().discard(node.root().resolve("suspended"));
            if (round >= 0) {
                row.usable.add(usable);
                row.durable.add(durable);
                row.started.add(started);
                row.frozen.add(freeze);
                row.suspended.add(suspend);
                written = snapshot.writtenBytes().orElse(0) / 1048576.0;
            }
        }
        System.out.printf(Locale.ROOT, "| %d | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f |%n", mebibytes, median(row.usable),
                median(row.durable), written, median(row.started), median(row.frozen), median(row.suspended));
    }

    private static double since(long begin) {
        return (System.nanoTime() - begin) / 1e6;
    }

    private static double median(List<Double> values) {
        return values.stream().sorted().toList().get(values.size() / 2);
    }
}
