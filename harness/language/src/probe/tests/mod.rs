mod behaves;
mod played;
mod probed;
