package dev.cube.hypervisor;

import com.code_intelligence.jazzer.junit.FuzzTest;

/** QEMU may have been taken over by its guest: whatever it says is a message or a {@link QmpException}. */
class QmpMessageFuzzTest {
    @FuzzTest
    void anyLineIsAMessageOrRefused(byte[] line) {
        try {
            QmpMessage.parse(line, line.length);
        } catch (QmpException e) {
            // Refused.
        }
    }
}
