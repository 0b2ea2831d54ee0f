/* Keeps a folder that has no source yet buildable. */
typedef int weir_empty_translation_unit;
