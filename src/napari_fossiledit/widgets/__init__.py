"""The napari widgets: thin pages over the library, one shared session a viewer."""
