package dev.cube.hypervisor;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Measures starts, until the guest answers, from the last of chains of snapshots of snapshots, whose every generation writes memory
 * and disk: forked from the state that is held, and restored from the image. Arguments: rounds, lengths of chains …. The chains take
 * turns.
 */
final class ChainBenchmark {
    private static final VmShape SHAPE = new VmShape(2, 2048);
    private static final int MEBIBYTES = 64;

    private ChainBenchmark() {}

    public static void main(String[] arguments) throws Exception {
        int rounds = Integer.parseInt(arguments[0]);
        List<Integer> lengths = Arrays.stream(arguments).skip(1).map(Integer::valueOf).toList();
        try (TestNode node = TestNode.create()) {
            VmImage template = node.template(SHAPE);
            node.hypervisor().keepWarm(template, vm -> { }, vm -> { });
            while (!node.hypervisor().isWarm(template)) {
                Thread.sleep(20);
            }
            Map<Integer, VmImage> chains = new LinkedHashMap<>();
            for (int length : lengths) {
                chains.put(length, chain(node, template, length));
            }
            Thread.sleep(3000); // layers are merged behind
            Map<Integer, List<Double>> forked = measure(node, chains, rounds);
            node.use(LiveForkChoice.OFF);
            node.restart();
            Map<Integer, List<Double>> restored = measure(node, chains, rounds);
            System.out.println("| chain | layers | memory files | forked | restored |\n|---|---|---|---|---|");
            chains.forEach((length, image) -> {
                ImageManifest manifest = ImageStore.read(image.directory());
                System.out.printf(Locale.ROOT, "| %d | %d | %d | %.1f | %.1f |%n", length, manifest.writableDisk().size(),
                        manifest.memory().files().size(), median(forked.get(length)), median(restored.get(length)));
            });
        }
    }

    private static VmImage chain(TestNode node, VmImage template, int length) throws Exception {
        Vm vm = node.hypervisor().start(template);
        Guest.ask(vm, "fill " + MEBIBYTES + " 1");
        VmSnapshot snapshot = null;
        for (int generation = 0; generation < length; generation++) {
            if (snapshot != null) {
                Vm next = node.hypervisor().start(snapshot.image());
                vm.kill();
                vm = next;
            }
            Guest.ask(vm, "poke " + generation * 4096 * 100 + " 7");
            Guest.ask(vm, "write /dev/vdb " + generation * 131072L + " generation-" + generation);
            snapshot = vm.snapshot(node.root().resolve("chain-" + length + "-" + generation));
            snapshot.durable().toCompletableFuture().get(60, TimeUnit.SECONDS);
        }
        vm.kill();
        return snapshot.image();
    }

    private static Map<Integer, List<Double>> measure(TestNode node, Map<Integer, VmImage> chains, int rounds)
            throws Exception {
        Map<Integer, List<Double>> results = new LinkedHashMap<>();
        for (int round = -6; round < rounds; round++) {
            for (Map.Entry<Integer, VmImage> chain : chains.entrySet()) {
                awaitBlank(node);
                long begin = System.nanoTime();
                Vm vm = node.hypervisor().start(chain.getValue());
                String answer = Guest.ask(vm, "read /dev/vdb 0");
                double millis = (System.nanoTime() - begin) / 1e6;
                vm.kill();
                if (!answer.equals("generation-0")) {
                    throw new IllegalStateException("the disk has " + answer);
                }
                if (round >= 0) {
                    results.computeIfAbsent(chain.getKey(), length -> new ArrayList<>()).add(millis);
                }
            }
        }
        return results;
    }

    /** Where VMs are restored: they are made of blanks, which are started behind others. */
    private static void awaitBlank(TestNode node) throws InterruptedException {
        boolean restored = node.config().liveFork() == LiveForkChoice.OFF;
        node.hypervisor().expect(SHAPE);
        while (restored && node.hypervisor().blanksReady(SHAPE) < 2) {
            Thread.sleep(10);
        }
    }

    private static double median(List<Double> values) {
        return values.stream().sorted().toList().get(values.size() / 2);
    }
}
