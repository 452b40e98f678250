"""Wi-Fi channel state information: packets of an ESP32, filtered, cut into windows."""
